include { fate } from './tasks'

process UNWRAP {
    tag "${meta.id}"
    label 'medium'
    errorStrategy { fate(task, meta.id) }

    input:
    tuple val(meta), path(phase), path(magnitude), path(acquisition)
    val method
    path weights, stageAs: 'weights/*'
    val code

    output:
    tuple val(meta), path('unwrapped.nii'), emit: phase
    tuple val(meta), path('unwrapped.json'), emit: files

    script:
    """
    unwrap.py --phase ${phase} --magnitude ${magnitude} --acquisition ${acquisition} --method ${method} \\
        --weights weights/unwrapping.safetensors --out unwrapped.nii ${task.ext.args ?: ''}
    """

    stub:
    """
    unwrap.py --help > /dev/null
    touch unwrapped.nii unwrapped.json
    """
}
