include { fate } from './tasks'

process CONVERT {
    tag "${fingerprint.take(8)}"
    label 'small'
    errorStrategy { fate(task, fingerprint.take(8)) }

    input:
    tuple val(fingerprint), val(depth), path(dicom, stageAs: 'dicom')
    path key, stageAs: 'key'
    val code

    output:
    path 'converted/*_MEGRE.{nii,json}', emit: series, optional: true
    path 'converted/convert.json', emit: record
    path 'subjects.tsv', emit: subjects

    script:
    def level = depth == null ? '' : "--depth ${depth}"
    """
    convert.py --dicom dicom --key key ${level} --out converted --subjects subjects.tsv ${task.ext.args ?: ''}
    """

    stub:
    """
    convert.py --help > /dev/null
    mkdir converted
    touch subjects.tsv converted/convert.json converted/sub-stub_run-1_echo-1_part-{mag,phase}_MEGRE.{nii,json}
    """
}
