// How tasks end. The engine asks for the fate of each that failed; why those failed that are not tried again is kept here, by stage and
// run, until the tables and the last lines are made of it. Includes nothing: see folders.nf.

// Out of memory, killed, or gone with its node (no exit status): again with more; anything else is the run's own fault.
def fate(task, run) {
    if (task.attempt <= 2 && task.exitStatus in [104, 134, 137, 139, 140, 143, 247, Integer.MAX_VALUE]) {
        return 'retry'
    }
    failed(task.process.tokenize(':')[-1], run, reasonOf(task))
    return 'ignore'
}

def failed(stage, run, reason) {
    failures().put([stage, run], reason)
}

// [stage, run]: reason. One engine is one launch, so the map lives as long as it.
def failures() {
    return System.properties.computeIfAbsent('chiflow.failures') { _name -> new java.util.concurrent.ConcurrentHashMap() }
}

def hasFailed(run) {
    return failures().keySet().any { key -> key[1] == run }
}

// What the executable said; without a word of its own, what the scheduler or the shell said last.
def reasonOf(task) {
    def lines = ['.command.err', '.command.log'].collectMany { name -> linesOf(task.workDir.resolve(name)) }
    def told = lines.findAll { line -> line.startsWith('error: ') }
    def ofScheduler = lines.find { line -> line =~ /exceeded .*memory|TIME LIMIT|CANCELLED/ }
    def reason = told ? told[-1] - 'error: ' : ofScheduler ?: (lines ? lines[-1] : 'no message')
    def special = [0: 'an output is missing: ', 1: '', 2: '', (Integer.MAX_VALUE): 'ended from outside: ']
    return "${special.getOrDefault(task.exitStatus, "exit status ${task.exitStatus}: ")}${reason}".replaceAll(/\s+/, ' ').take(2000)
}

def linesOf(log) {
    try {
        return log.exists() ? log.readLines().findAll { line -> line.trim() } : []
    }
    catch (IOException _fault) {
        return []
    }
}

// One row [run, status, stage, reason] for each run, by its name: done, incomplete (χ is there, something else is not) or failed; and for
// whatever failed that is no run. placed: [run, what kept its files from their places, or null].
def outcomes(started, placed) {
    def faults = placed.collectEntries { run, fault -> [run, fault] }
    def byRun = failures().groupBy { key, _reason -> key[1] }.collectEntries { run, found -> [run, found.collect { key, reason -> [key[0], reason] }.sort()] }
    def runs = started.collect { run -> outcomeOf(run, faults.containsKey(run) && !faults[run], byRun[run] ?: [], faults[run]) }
    def others = (byRun.keySet() - started).collectMany { name -> byRun[name].collect { stage, reason -> [name, 'failed', stage, reason] } }
    return (runs + others).sort { row -> row.join(' ') }
}

// A run without χ failed in a stage that χ needed, whatever else failed.
def outcomeOf(run, hasMaps, failed, fault) {
    if (hasMaps) {
        def reasons = failed.size() == 1 ? failed[0][1] : failed.collect { stage, reason -> "${stage}: ${reason}".toString() }.join('; ')
        return [run, failed ? 'incomplete' : 'done', failed.collect { stage, _reason -> stage }.join(', '), reasons]
    }
    def needed = failed.find { stage, _reason -> !(stage in ['RELAX', 'SWI', 'REGIONS', 'REPORT', 'EXPORT']) }
    return [run, 'failed'] + (fault ? ['PUBLISH', fault] : needed ?: ['', 'did not finish: what lies in OUT is of an earlier launch'])
}
