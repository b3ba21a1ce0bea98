include { fate } from './tasks'

process PUBLISH {
    tag "${meta.id}"
    label 'small'
    errorStrategy { fate(task, meta.id) }

    input:
    tuple val(meta), path(acquisition), path(maps, stageAs: 'maps/*')
    stdin
    val code

    output:
    tuple val(meta), path('sub-*/**'), emit: derivatives
    tuple path('dataset_description.json'), path('README'), path('.bidsignore'), emit: description

    script:
    """
    publish.py --acquisition ${acquisition} --maps maps --out . --pipeline /dev/stdin ${task.ext.args ?: ''}
    """

    stub:
    """
    publish.py --help > /dev/null
    mkdir -p sub-stub/anat
    echo '{}' > dataset_description.json
    touch README .bidsignore sub-stub/anat/${meta.id}_Chimap.{nii.gz,json}
    """
}
