// What is told at the end, and the files of OUT/pipeline_info that the engine does not write.

include { stopOn } from './folders'
include { contentOf } from './records'
include { outcomes ; readTable } from './tasks'

def writeParams(folder, values) {
    folder.resolve('params.json').text = groovy.json.JsonOutput.prettyPrint(groovy.json.JsonOutput.toJson(values)) + '\n'
}

// Versions of all software that the stages' records name.
def writeVersions(folder, records) {
    def found = records.findAll { path -> path.size() }.collect { path -> contentOf(path).Made?.Software ?: [:] }
    def versions = [nextflow: nextflow.version.toString()] + found.collectMany { software -> software.entrySet() }.groupBy { entry -> entry.key }
        .collectEntries { name, entries -> [name, entries.collect { entry -> entry.value }.unique().sort().join(', ')] }
    folder.resolve('software_versions.json').text = groovy.json.JsonOutput.prettyPrint(groovy.json.JsonOutput.toJson(versions.sort())) + '\n'
}

def writeTable(path, header, rows) {
    path.text = ([header] + rows).collect { row -> row.join('\t') + '\n' }.join('')
}

// What was set aside; when nothing else was found, that is the end.
def keepAside(folder, runs, found) {
    def rows = found.sort { row -> row.join(' ') }
    writeTable(folder.resolve('set_aside.tsv'), ['name', 'reason'], rows)
    if (!runs && rows) {
        stopOn(['no run to process was found'] + rows.collect { name, reason -> "${name}: ${reason}" })
    }
}

// The files of a BIDS data set, beside the runs; a README of the user's stays. A BIDS input is named as the source; the name of a DICOM folder may be a patient's.
def writeDataset(outdir, files, source) {
    def (descriptions, others) = files.split { path -> path.name.endsWith('.json') }
    others.findAll { path -> !outdir.resolve(path.name).exists() }.each { path -> path.copyTo(outdir.resolve(path.name)) }
    def described = contentOf(descriptions[0]) + (source ? [SourceDatasets: [[URL: fromFolder(outdir, source)]]] : [:])
    outdir.resolve('dataset_description.json').text = groovy.json.JsonOutput.prettyPrint(groovy.json.JsonOutput.toJson(described)) + '\n'
}

// Where a place is, seen from a folder; its whole address when the two are in different stores.
def fromFolder(folder, place) {
    def (here, there) = [folder, place].collect { path -> path.toAbsolutePath().normalize() }
    return here.fileSystem == there.fileSystem ? here.relativize(there).toString() : there.toUriString()
}

// What the gate said of each attempt at a field map, in the order of runs and attempts.
def writeVerdicts(folder, rows) {
    writeTable(folder.resolve('gate.tsv'), ['run', 'attempt', 'unwrapping', 'verdict', 'reasons', 'figures'], rows)
}

// One line for each run that is done and not green, or whose field map came from another unwrapping than the first.
def verdictLines(folder, cohort, done) {
    def byRun = readTable(folder.resolve('gate.tsv')).findAll { row -> row.run in done }.groupBy { row -> row.run }
    def fell = byRun.collectMany { run, rows -> rows.init().collect { row -> "fell back: ${run}: ${rows[-1].unwrapping} after ${row.unwrapping}: ${row.reasons}" } }
    def bad = cohort.findAll { row -> row.verdict != 'pass' && row.run in done }
    return bad.collect { row -> "${row.verdict == 'fail' ? 'red' : 'amber'}: ${row.run}: ${row.reasons}" } + fell
}

// Ten lines at most: how many, which failed, warned or were set aside with the reason, and where to look.
def summary(folder, outdir) {
    def rows = outcomes(folder.resolve('trace.txt'))
    writeTable(folder.resolve('runs.tsv'), ['run', 'status', 'stage', 'reason'], rows)
    def aside = readTable(folder.resolve('set_aside.tsv'))
    def (done, failed) = rows.split { row -> row[1] == 'done' }
    def cohort = readTable(outdir.resolve('cohort.tsv'))
    def green = cohort.count { row -> row.verdict == 'pass' && row.run in done*.first() }
    def warned = verdictLines(folder, cohort, done*.first())
    def head = ["${done.size()} ${done.size() == 1 ? 'run' : 'runs'} done, ${green} of them green, ${failed.count { row -> row[0] != 'all runs' }} failed, ${aside.size()} series set aside".toString()]
    def lines = shortened(failed.collect { row -> "failed: ${row[0]} in ${row[2]}: ${row[3]}" }, 4, 'runs.tsv')
    lines += shortened(warned, Math.max(1, 5 - lines.size()), 'gate.tsv')
    lines += shortened(aside.collect { row -> "set aside: ${row.name}: ${row.reason}" }, Math.max(1, 7 - lines.size()), 'set_aside.tsv')
    if (!folder.resolve('trace.txt').exists()) {
        lines << 'pipeline_info/trace.txt is missing, so nothing is known here about single runs: see .nextflow.log'
    }
    def page = outdir.resolve('cohort.html').exists() ? ["all runs on one page: ${outdir.resolve('cohort.html').toUriString()}".toString()] : []
    lines << (!failed && done ? "results: ${outdir}" : "results so far: ${outdir}; run again with -resume when the cause is gone")
    return (head + lines + page).collect { line -> "chiflow: ${line}" }.join('\n')
}

def shortened(all, most, table) {
    def lines = all.collect { line -> line.size() > 300 ? "${line.take(299)}…".toString() : line }
    return lines.size() <= most ? lines : lines.take(most - 1) + ["… and ${lines.size() - most + 1} more in pipeline_info/${table}".toString()]
}
