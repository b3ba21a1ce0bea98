// What became of each run, from the engine's table of tasks. Includes nothing: see folders.nf.

def readTable(path) {
    def lines = path.exists() ? path.readLines()*.split('\t', -1) : []
    return lines.size() < 2 ? [] : lines.tail().collect { row -> [lines[0], row].transpose().collectEntries() }
}

// One row [run, status, stage, reason] for each run, and for each folder that could not be converted, from the engine's trace.
def outcomes(trace) {
    def last = readTable(trace).collectEntries { row -> [[row.name.tokenize(' ')[0].tokenize(':')[-1], row.tag], row] }
    def failed = last.findAll { _task, row -> row.status in ['FAILED', 'ABORTED'] }
    def rows = failed.collect { task, row -> [task[1], 'failed', task[0], reasonOf(row)] }
    def published = last.findAll { task, row -> task[0] in ['PUBLISH', 'TRAIN'] && row.status in ['COMPLETED', 'CACHED'] }
    return (published.collect { task, _row -> [task[1], 'done', '', ''] } + rows).sort { row -> row[0] }
}

// The runs that have no result, as JSON for the page of all runs: [run, stage, reason]. The engine may be still writing its table of tasks: waits ten seconds at most.
def failuresOf(trace, missing) {
    def known = []
    (1..50).find { _again ->
        known = outcomes(trace).findAll { row -> row[1] == 'failed' }
        def complete = known*.first().containsAll(missing)
        complete ?: sleep(200)
        complete
    }
    def unknown = missing.findAll { name -> !(name in known*.first()) }.sort().collect { name -> [name, '', 'did not finish: see pipeline_info/runs.tsv'] }
    return groovy.json.JsonOutput.toJson(known.collect { run, _status, stage, reason -> [run, stage, reason] } + unknown)
}

def reasonOf(row) {
    def lines = ['.command.err', '.command.log'].collect { name -> file("${row.workdir}/${name}", glob: false) }
        .collectMany { log -> log.exists() ? log.readLines().findAll { line -> line.trim() } : [] }
    def told = lines.findAll { line -> line.startsWith('error: ') }
    def ofScheduler = lines.find { line -> line =~ /exceeded .*memory|TIME LIMIT|CANCELLED/ }
    def reason = told ? told[-1] - 'error: ' : ofScheduler ?: (lines ? lines[-1] : 'no message')
    def status = row.exit in ['0', '1', '2'] ? '' : row.exit ==~ /\d+/ ? "exit status ${row.exit}: " : 'ended from outside: '
    return "${status}${reason}".replaceAll(/\s+/, ' ').take(2000)
}
