include { givenOptions } from './options'
include { fate } from './tasks'

process INVERT {
    tag "${meta.id}"
    label 'medium'
    label 'gpu'
    errorStrategy { fate(task, meta.id) }

    input:
    tuple val(meta), path(field), path(mask), path(noise), path(acquisition), path(magnitude), path(region, stageAs: 'region/*')
    val unit
    path weights, stageAs: 'weights/*'
    val code

    output:
    tuple val(meta), path('{chi,residual,ratio,uncertainty,start}.{nii,json}'), emit: files

    script:
    def device = task.accelerator ? 'cuda' : 'cpu'
    """
    invert.py --field ${field} --field-unit ${unit} --mask ${mask} --noise ${noise} --noise-unit hz --acquisition ${acquisition} --device ${device} \\
        --magnitude ${magnitude} ${givenOptions(region, 'reference-region', 'reference-names')} --weights weights \\
        --out chi.nii --residual residual.nii --ratio ratio.nii --uncertainty uncertainty.nii --start start.nii ${task.ext.args ?: ''}
    """

    stub:
    """
    invert.py --help > /dev/null
    touch chi.nii chi.json residual.nii ratio.nii
    """
}
