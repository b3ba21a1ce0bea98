process REPORT {
    tag "${meta.id}"
    label 'small'

    input:
    tuple val(meta), path(acquisition), path(maps, stageAs: 'maps/*')
    val code

    output:
    path 'sub-*/**', emit: pages
    path 'sub-*/**_qsm.{json,tsv}', emit: summary
    val meta, emit: done

    script:
    """
    report.py --acquisition ${acquisition} --maps maps --out . ${task.ext.args ?: ''}
    """

    stub:
    """
    report.py --help > /dev/null
    mkdir -p sub-stub
    touch sub-stub/${meta.id}_qsm.{html,json}
    """
}
