include { fate } from './tasks'

process RELAX {
    tag "${meta.id}"
    label 'medium'
    errorStrategy { fate(task, meta.id) }

    input:
    tuple val(meta), path(magnitude), path(mask), path(acquisition)
    val code

    output:
    tuple val(meta), path('{r2star,t2star,s0}.{nii,json}'), emit: files

    script:
    """
    relax.py --magnitude ${magnitude} --mask ${mask} --acquisition ${acquisition} --out r2star.nii --t2star t2star.nii --s0 s0.nii ${task.ext.args ?: ''}
    """

    stub:
    """
    relax.py --help > /dev/null
    touch r2star.nii r2star.json t2star.nii s0.nii
    """
}
