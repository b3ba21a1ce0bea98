include { fate } from './tasks'

process FIELDMAP {
    tag "${meta.id}"
    label 'medium'
    errorStrategy { fate(task, meta.id) }

    input:
    tuple val(meta), path(phase), path(magnitude), path(acquisition)
    val code

    output:
    tuple val(meta), path('field.nii'), path('noise.nii'), emit: field
    tuple val(meta), path('quality.nii'), emit: quality
    tuple val(meta), path('noise.nii'), emit: noise
    tuple val(meta), path('{field,noise,quality}.{nii,json}'), emit: files

    script:
    """
    fieldmap.py --phase ${phase} --magnitude ${magnitude} --acquisition ${acquisition} --out field.nii --noise noise.nii --quality quality.nii \\
        ${task.ext.args ?: ''}
    """

    stub:
    """
    fieldmap.py --help > /dev/null
    touch field.nii field.json noise.nii quality.nii
    """
}
