process INVERT {
    tag "${meta.id}"
    label 'medium'
    label 'gpu'

    input:
    tuple val(meta), path(field), path(mask), path(noise), path(acquisition)
    val code

    output:
    tuple val(meta), path('{chi,residual}.{nii,json}'), emit: files

    script:
    def device = task.accelerator ? 'cuda' : 'cpu'
    """
    invert.py --field ${field} --mask ${mask} --noise ${noise} --noise-unit hz --acquisition ${acquisition} --device ${device} \\
        --out chi.nii --residual residual.nii ${task.ext.args ?: ''}
    """

    stub:
    """
    invert.py --help > /dev/null
    touch chi.nii chi.json residual.nii
    """
}
