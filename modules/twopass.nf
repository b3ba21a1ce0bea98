process TWOPASS {
    tag "${meta.id}"
    label 'small'

    input:
    tuple val(meta), path(filled, stageAs: 'filled/*'), path(mask), path(tight, stageAs: 'tight/*'), path(tight_mask, stageAs: 'tight_mask.nii')
    val code

    output:
    tuple val(meta), path('{chi,residual}.{nii,json}'), emit: files

    script:
    """
    twopass.py --chi filled/chi.nii --residual filled/residual.nii --mask ${mask} --tight-chi tight/chi.nii --tight-residual tight/residual.nii \\
        --tight-mask tight_mask.nii --out chi.nii --out-residual residual.nii ${task.ext.args ?: ''}
    """

    stub:
    """
    twopass.py --help > /dev/null
    touch chi.nii chi.json residual.nii
    """
}
