include { fate } from './tasks'

process INTAKE {
    tag "${meta.id}"
    label 'small'
    errorStrategy { fate(task, meta.id) }

    input:
    tuple val(meta), path(files, stageAs: 'run/*'), path(inherited, stageAs: 'inherited?/*')
    val code

    output:
    tuple val(meta), path('magnitude.nii'), path('phase.nii'), path('acquisition.json'), emit: scan
    tuple val(meta), path('magnitude.nii'), emit: magnitude
    tuple val(meta), path('acquisition.json'), emit: acquisition

    script:
    def sidecars = [inherited].flatten().collect { sidecar -> "--inherited ${sidecar}" }.join(' ')
    """
    intake.py --id ${meta.id} --out-magnitude magnitude.nii --out-phase phase.nii --out-acquisition acquisition.json \\
        ${sidecars} ${task.ext.args ?: ''} run/*
    """

    stub:
    """
    intake.py --help > /dev/null
    touch magnitude.nii phase.nii acquisition.json
    """
}
