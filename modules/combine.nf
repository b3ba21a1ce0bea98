include { fate } from './tasks'

process COMBINE {
    tag "${meta.id}"
    label 'medium'
    errorStrategy { fate(task, meta.id) }

    input:
    tuple val(meta), path(magnitude), path(phase), path(acquisition)
    val code

    output:
    tuple val(meta), path('combined.nii'), emit: phase
    tuple val(meta), path('magnitude_combined.nii'), emit: magnitude
    tuple val(meta), path('combined.json'), emit: files

    script:
    """
    combine.py --phase ${phase} --magnitude ${magnitude} --acquisition ${acquisition} --out combined.nii --out-magnitude magnitude_combined.nii \\
        ${task.ext.args ?: ''}
    """

    stub:
    """
    combine.py --help > /dev/null
    touch combined.nii combined.json magnitude_combined.nii
    """
}
