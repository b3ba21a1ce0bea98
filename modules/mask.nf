include { fate } from './tasks'

process MASK {
    tag "${meta.id}"
    label 'medium'
    errorStrategy { fate(task, meta.id) }

    input:
    tuple val(meta), path(quality), path(magnitude), path(acquisition), path(given, stageAs: 'given/*')
    path weights, stageAs: 'weights/*'
    val code

    output:
    tuple val(meta), path('mask.nii'), emit: mask
    tuple val(meta), path('brain.nii'), emit: brain
    tuple val(meta), path('tight.nii'), emit: tight, optional: true
    tuple val(meta), path('{mask,brain,tight}.{nii,json}'), emit: files

    script:
    def own = given ? "--mask ${given}" : ''
    """
    mask.py --magnitude ${magnitude} --quality ${quality} --acquisition ${acquisition} --weights weights/brain_mask.safetensors ${own} \\
        --out mask.nii --out-brain brain.nii ${task.ext.args ?: ''}
    """

    stub:
    """
    mask.py --help > /dev/null
    touch mask.nii brain.nii mask.json
    """
}
