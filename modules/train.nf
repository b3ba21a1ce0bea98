include { fate } from './tasks'

process TRAIN {
    tag 'inversion'
    label 'long'
    label 'gpu'
    errorStrategy { fate(task, 'inversion') }

    input:
    path labels, stageAs: 'labels/*'
    path kept, stageAs: 'kept' // a folder that outlives the task: what is in kept/inversion/ goes on after an interruption
    val code

    output:
    path 'weights/*', emit: files

    script:
    def device = task.accelerator ? 'cuda' : 'cpu'
    def maps = labels ? '--labels labels' : ''
    """
    train.py ${maps} --folder kept/inversion --out weights --curve weights --threads ${Math.max(1, task.cpus - 1)} --device ${device} ${task.ext.args ?: ''}
    """

    stub:
    """
    train.py --help > /dev/null
    mkdir weights
    touch weights/inversion.safetensors weights/inversion.json
    """
}
