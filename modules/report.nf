include { fate } from './tasks'

process REPORT {
    tag "${meta.id}"
    label 'small'
    errorStrategy { fate(task, meta.id) }

    input:
    tuple val(meta), path(acquisition), path(maps, stageAs: 'maps/*')
    val code

    output:
    tuple val(meta), path('sub-*/**'), emit: pages
    path 'sub-*/**_qsm.{json,tsv}', emit: summary

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
