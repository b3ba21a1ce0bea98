process MASK {
    tag "${meta.id}"
    label 'medium'

    input:
    tuple val(meta), path(quality), path(magnitude), path(acquisition), path(given, stageAs: 'given/*')
    val code

    output:
    tuple val(meta), path('mask.nii'), emit: mask
    tuple val(meta), path('mask.{nii,json}'), emit: files

    script:
    def own = given ? "--mask ${given}" : ''
    """
    mask.py --magnitude ${magnitude} --quality ${quality} --acquisition ${acquisition} ${own} --out mask.nii ${task.ext.args ?: ''}
    """

    stub:
    """
    mask.py --help > /dev/null
    touch mask.nii mask.json
    """
}
