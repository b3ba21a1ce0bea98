include { fate } from './tasks'

process SWI {
    tag "${meta.id}"
    label 'medium'
    errorStrategy { fate(task, meta.id) }

    input:
    tuple val(meta), path(phase), path(magnitude), path(mask), path(acquisition)
    val code

    output:
    tuple val(meta), path('{swi,minip,combined_magnitude}.{nii,json}'), emit: files

    script:
    """
    swi.py --phase ${phase} --magnitude ${magnitude} --mask ${mask} --acquisition ${acquisition} --out swi.nii --mip minip.nii --magnitude-out combined_magnitude.nii ${task.ext.args ?: ''}
    """

    stub:
    """
    swi.py --help > /dev/null
    touch swi.nii swi.json minip.nii combined_magnitude.nii
    """
}
