process PUBLISH {
    tag "${meta.id}"
    label 'small'

    input:
    tuple val(meta), path(acquisition), path(maps, stageAs: 'maps/*')
    stdin
    val code

    output:
    path 'sub-*/**', emit: derivatives
    path 'dataset_description.json', emit: description
    val meta, emit: done

    script:
    """
    publish.py --acquisition ${acquisition} --maps maps --out . --pipeline /dev/stdin ${task.ext.args ?: ''}
    """

    stub:
    """
    publish.py --help > /dev/null
    mkdir -p sub-stub/anat
    touch dataset_description.json sub-stub/anat/${meta.id}_Chimap.{nii.gz,json}
    """
}
