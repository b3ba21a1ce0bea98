include { fate } from './tasks'

process GATE {
    tag "${meta.id}"
    label 'medium'
    errorStrategy { fate(task, meta.id) }

    input:
    tuple val(meta), path(phase), path(magnitude), path(field), path(quality), path(brain), path(acquisition)
    tuple val(unwrapping), val(policy), val(last)
    val code

    output:
    tuple val(meta), path('gate.json'), emit: verdict

    script:
    """
    gate.py --phase ${phase} --magnitude ${magnitude} --field ${field} --quality ${quality} --brain ${brain} --acquisition ${acquisition} \\
        --unwrapping ${unwrapping} --gate ${policy} ${last ? '--last' : ''} --out gate.json ${task.ext.args ?: ''}
    """

    stub:
    """
    gate.py --help > /dev/null
    echo '{"Stage": "gate", "Method": "${unwrapping}", "Figures": {"Verdict": "pass"}}' > gate.json
    """
}
