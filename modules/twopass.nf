include { fate } from './tasks'

process TWOPASS {
    tag "${meta.id}"
    label 'small'
    errorStrategy { fate(task, meta.id) }

    input:
    tuple val(meta), path(filled, stageAs: 'filled/*'), path(mask), path(tight, stageAs: 'tight/*'), path(tight_mask, stageAs: 'tight_mask.nii')
    val code

    output:
    tuple val(meta), path('{chi,residual,ratio,uncertainty,start}.{nii,json}'), emit: files

    script:
    """
    twopass.py --filled filled --tight tight --mask ${mask} --tight-mask ${tight_mask} --out . ${task.ext.args ?: ''}
    """

    stub:
    """
    twopass.py --help > /dev/null
    touch chi.nii chi.json residual.nii ratio.nii
    """
}
