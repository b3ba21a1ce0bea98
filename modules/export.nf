include { fate } from './tasks'

process EXPORT {
    tag "${meta.id}"
    label 'small'
    errorStrategy { fate(task, meta.id) }

    input:
    tuple val(meta), path(acquisition), path(chi)
    val code

    output:
    tuple val(meta), path('sub-*/**'), emit: slices

    script:
    """
    export.py --chi ${chi} --acquisition ${acquisition} --out . ${task.ext.args ?: ''}
    """

    stub:
    """
    export.py --help > /dev/null
    mkdir -p sub-stub/dicom
    touch sub-stub/dicom/IM00001.dcm
    """
}
