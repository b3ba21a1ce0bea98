include { givenOptions } from './options'
include { fate } from './tasks'

process REGIONS {
    tag "${meta.id}"
    label 'small'
    errorStrategy { fate(task, meta.id) }

    input:
    tuple val(meta), path(maps, stageAs: 'maps/*'), path(labels, stageAs: 'labels/*')
    val code

    output:
    tuple val(meta), path('regions.{tsv,json}'), emit: files

    script:
    """
    regions.py --maps maps ${givenOptions(labels, 'labels', 'names')} --out regions.tsv ${task.ext.args ?: ''}
    """

    stub:
    """
    regions.py --help > /dev/null
    touch regions.tsv regions.json
    """
}
