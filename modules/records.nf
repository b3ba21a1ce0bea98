// The JSON files that stages write, as the pipeline itself reads them. Includes nothing: see folders.nf.

def contentOf(path) {
    return path.size() ? new groovy.json.JsonSlurper().parseText(path.text) : [:]
}

// Echoes of a run; a file without content (stub runs) counts as several.
def hasSeveralEchoes(acquisition) {
    def times = contentOf(acquisition).EchoTimes
    return times == null || times.size() > 1
}

// One row for each attempt at a field map: run, attempt, unwrapping, verdict, reasons, and the figures behind it.
def verdictRow(run, attempt, record) {
    def content = contentOf(record)
    def figures = (content.Figures ?: [:]).findAll { name, _value -> name != 'Verdict' }.collect { name, value -> "${name} ${value}" }
    return [run, attempt, content.Method ?: '', content.Figures?.Verdict ?: '', (content.Warnings ?: []).join('; '), figures.join(', ')]
}
