process EXPORT {
    tag "${meta.id}"
    label 'small'

    input:
    tuple val(meta), path(acquisition), path(chi)
    val code

    output:
    path 'sub-*/**', emit: slices
    val meta, emit: done

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
