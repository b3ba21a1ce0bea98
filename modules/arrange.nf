include { fate } from './tasks'

process ARRANGE {
    tag 'all series'
    label 'small'
    errorStrategy { fate(task, 'all series') }

    input:
    path sidecars, stageAs: 'series?/*'
    val code

    output:
    path 'runs.json', emit: runs

    script:
    """
    arrange.py --out runs.json ${task.ext.args ?: ''} series*/*.json
    """

    stub:
    """
    arrange.py --help > /dev/null
    echo '{"Runs": [{"Id": "sub-stub_run-1", "Files": ["sub-stub_run-1_echo-1_part-mag_MEGRE.nii"]}], "Aside": []}' > runs.json
    """
}
