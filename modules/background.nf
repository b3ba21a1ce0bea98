include { fate } from './tasks'

process BACKGROUND {
    tag "${meta.id}"
    label 'medium'
    errorStrategy { fate(task, meta.id) }

    input:
    tuple val(meta), path(field), path(noise), path(mask), path(acquisition), path(magnitude)
    path weights, stageAs: 'weights/*'
    val code

    output:
    tuple val(meta), path('local.nii'), path('eroded.nii'), emit: local
    tuple val(meta), path('{local,eroded}.{nii,json}'), emit: files

    script:
    def device = task.accelerator ? 'cuda' : 'cpu'
    """
    background.py --field ${field} --field-unit hz --noise ${noise} --mask ${mask} --acquisition ${acquisition} --device ${device} \\
        --magnitude ${magnitude} --weights weights/total.safetensors --out local.nii --out-mask eroded.nii ${task.ext.args ?: ''}
    """

    stub:
    """
    background.py --help > /dev/null
    touch local.nii local.json eroded.nii
    """
}
