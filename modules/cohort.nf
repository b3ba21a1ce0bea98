include { fate } from './tasks'

process COHORT {
    tag 'all runs'
    label 'small'
    errorStrategy { fate(task, 'all runs') }

    input:
    path summaries, stageAs: 'runs/*'
    stdin
    val code

    output:
    path 'cohort*', emit: pages

    script:
    """
    cohort.py --runs runs --failed /dev/stdin --out . ${task.ext.args ?: ''}
    """

    stub:
    """
    cohort.py --help > /dev/null
    touch cohort.html cohort.tsv
    """
}
