// The images that the tasks run in, and what is known of the pipeline around the stages: it goes into every run's provenance.

include { stopOn } from './folders'

// Image of each kind by its name, with its digest when this machine has it. Without containers there are none.
def images(registry) {
    if (!workflow.containerEngine) {
        return [:]
    }
    def found = ['light', 'torch'].collectEntries { kind ->
        def name = "${registry ?: ''}chiflow-${kind}:${workflow.manifest.version}".toString()
        [kind, [Name: name, Digest: digestOf(name)]]
    }
    def missing = found.values().findAll { image -> !image.Digest }*.Name
    if (missing && !registry && isLocal()) {
        stopOn(["no image ${missing.join(' and no ')} on this machine: build them with containers/build.sh, or name a --registry that has them"])
    }
    return found
}

def isLocal() {
    return !workflow.profile.tokenize(',').any { name -> name in ['slurm', 'awsbatch', 'googlebatch', 'azurebatch', 'k8s'] }
}

// SHA-256 that docker or podman knows an image by; null when they do not have it, and for other engines, which keep no such number.
def digestOf(name) {
    if (!(workflow.containerEngine in ['docker', 'podman'])) {
        return null
    }
    try {
        def call = [workflow.containerEngine, 'image', 'inspect', '--format', '{{.Id}}', name].execute()
        def said = call.text.trim()
        return call.waitFor() == 0 ? said - 'sha256:' : null
    }
    catch (IOException _fault) {
        return null
    }
}

def pipelineFacts(parameters, found) {
    def facts = [Engine: [Name: 'nextflow', Version: nextflow.version.toString()], Parameters: parameters.sort(), Images: found]
    return groovy.json.JsonOutput.toJson(facts)
}
