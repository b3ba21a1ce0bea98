// The files of OUT/pipeline_info that the engine does not write, and what is told at the end. All of it is made of items of the channels.

include { contentOf } from './records'
include { outsideOf ; placesOf ; publishedNames ; put ; retire ; writeWhole } from './outputs'
include { outcomes } from './tasks'

// Nothing in OUT is of this launch yet: what the last one said goes, its runs are marked.
def begin(outdir, options) {
    def info = outdir.resolve('pipeline_info')
    ['trace.txt', 'report.html', 'timeline.html', 'dag.mmd', 'software_versions.json'].each { name -> java.nio.file.Files.deleteIfExists(info.resolve(name)) }
    writeWhole(info.resolve('params.json'), pretty(options))
    writeTable(info.resolve('set_aside.tsv'), ['name', 'reason'], [])
    writeVerdicts(info, [])
    writeOutcomes(outdir, [])
}

def pretty(content) {
    return groovy.json.JsonOutput.prettyPrint(groovy.json.JsonOutput.toJson(content)) + '\n'
}

// Versions of all software that the stages' records name.
def writeVersions(folder, records) {
    def found = records.findAll { path -> path.size() }.collect { path -> contentOf(path).Made?.Software ?: [:] }
    def versions = [nextflow: nextflow.version.toString()] + found.collectMany { software -> software.entrySet() }.groupBy { entry -> entry.key }
        .collectEntries { name, entries -> [name, entries.collect { entry -> entry.value }.unique().sort().join(', ')] }
    writeWhole(folder.resolve('software_versions.json'), pretty(versions.sort()))
}

def writeTable(path, header, rows) {
    writeWhole(path, ([header] + rows).collect { row -> row.join('\t') + '\n' }.join(''))
}

def writeAside(folder, rows) {
    writeTable(folder.resolve('set_aside.tsv'), ['name', 'reason'], rows.toSorted { row -> row.join(' ') })
}

// What the gate said of each attempt at a field map, in the order of runs and attempts.
def writeVerdicts(folder, rows) {
    writeTable(folder.resolve('gate.tsv'), ['run', 'attempt', 'unwrapping', 'verdict', 'reasons', 'figures'], rows)
}

// The outcome of each run, and the runs that lie in OUT from earlier launches.
def writeOutcomes(outdir, rows) {
    writeTable(outdir.resolve('pipeline_info/runs.tsv'), ['run', 'status', 'stage', 'reason'], (rows + earlier(outdir, rows)).sort { row -> row[0] })
}

def earlier(outdir, rows) {
    def left = publishedNames(outdir).findAll { name -> name.startsWith('sub-') } - rows*.first()
    return left.collect { run -> [run, 'earlier', '', 'made by an earlier launch, not by this one'] }
}

// The files of a BIDS data set, beside the runs; a README of the user's stays. A BIDS input is named as the source; the name of a DICOM folder may be a patient's.
def writeDataset(outdir, files, source, folder) {
    def (descriptions, others) = files.split { path -> path.name.endsWith('.json') }
    def described = java.nio.file.Files.createDirectories(folder).resolve('dataset_description.json')
    described.text = pretty(contentOf(descriptions[0]) + (source ? [SourceDatasets: [[URL: fromFolder(outdir, source)]]] : [:]))
    def known = outdir.resolve('pipeline_info/published/dataset.tsv')
    def places = known.exists() ? known.readLines()*.split('\t')*.first() : []
    def own = others.findAll { path -> path.name in places || !outdir.resolve(path.name).exists() }
    return put(outdir, 'dataset', (own + [described]).collectEntries { path -> [path.name, path] }, true)
}

// Where a place is, seen from a folder; its whole address when the two are in different stores.
def fromFolder(folder, place) {
    def (here, there) = [folder, place].collect { path -> path.toAbsolutePath().normalize() }
    return here.fileSystem == there.fileSystem ? here.relativize(there).toString() : there.toUriString()
}

// All tasks have ended: the page of all runs goes to its place, the maps that an earlier launch made of a run that failed now go from
// theirs. Returns why the launch has not ended well where the engine does not know it, or null.
def end(outdir, told, count, rows, pages, verdicts, aside) {
    told.putAll([outcomes: rows, verdicts: verdicts.sort { row -> row.join(' ') }, aside: aside.sort { row -> row.join(' ') }])
    writeVerdicts(outdir.resolve('pipeline_info'), told.verdicts)
    told.cohort = pages.flatten().findAll { path -> path.name == 'cohort.tsv' }.collectMany { path -> readTable(path) }
    def fault = pages ? put(outdir, 'cohort', placesOf(pages.flatten()), true) : null
    def wasEnded = rows.any { row -> row[1] == 'failed' && !row[2] } // from outside: such runs have not been shown to fail
    def failed = rows.findAll { row -> row[1] == 'failed' && row[2] }*.first()
    def lost = wasEnded || pages || rows.any { row -> row[0] == 'inversion' } ? [] : ['cohort']
    (failed + lost).each { name -> retire(outdir, name) }
    writeOutcomes(outdir, rows)
    def noRun = ['no run to process was found'] + rows.collect { row -> "${row[2]}: ${row[3]}" } + told.aside.collect { name, reason -> "${name}: ${reason}" }
    return count ? fault ?: rows.find { row -> row[2] in ['INPUT', 'PUBLISH'] }?.last() : noRun.join('\n')
}

def readTable(path) {
    def lines = path.exists() ? path.readLines()*.split('\t', -1) : []
    return lines.size() < 2 ? [] : lines.tail().collect { row -> [lines[0], row].transpose().collectEntries() }
}

// One line for each run that has maps and is not green, or whose field map came from another unwrapping than the first.
def verdictLines(verdicts, cohort, done) {
    def byRun = verdicts.findAll { row -> row[0] in done }.groupBy { row -> row[0] }
    def fell = byRun.collectMany { run, rows -> rows.init().collect { row -> "fell back: ${run}: ${rows[-1][2]} after ${row[2]}: ${row[4]}" } }
    def bad = cohort.findAll { row -> row.verdict != 'pass' && row.run in done }
    return bad.collect { row -> "${row.verdict == 'fail' ? 'red' : 'amber'}: ${row.run}: ${row.reasons}" } + fell
}

// A dozen lines at most: how many, which failed, warned or were set aside with the reason, and where to look.
def summary(told, outdir) {
    def rows = told.outcomes ?: outcomes([], [])
    def (failed, made) = rows.split { row -> row[1] == 'failed' }
    def (whole, partly) = made.split { row -> row[1] == 'done' }
    def green = told.cohort.count { row -> row.verdict == 'pass' && row.run in whole*.first() }
    def aside = told.aside
    def head = ["${made.size()} ${made.size() == 1 ? 'run' : 'runs'} done, ${green} of them green, ${failed.count { row -> row[0] != 'all runs' }} failed, ${aside.size()} series set aside".toString()]
    def lines = shortened(failed.collect { row -> "failed: ${row[0]}${row[2] ? " in ${row[2]}" : ''}: ${row[3]}" }, 4, 'runs.tsv')
    lines += shortened(partly.collect { row -> "incomplete: ${row[0]}: without ${row[2]}: ${row[3]}" }, Math.max(1, 4 - lines.size()), 'runs.tsv')
    lines += shortened(verdictLines(told.verdicts, told.cohort, whole*.first()), Math.max(1, 5 - lines.size()), 'gate.tsv')
    lines += shortened(aside.collect { row -> "set aside: ${row[0]}: ${row[1]}" }, Math.max(1, 7 - lines.size()), 'set_aside.tsv')
    def page = outdir.resolve('cohort.html').exists() && told.cohort ? ["all runs on one page: ${outdir.resolve('cohort.html').toUriString()}".toString()] : []
    def isWhole = made && !failed && !partly && told.outcomes
    lines << (isWhole ? "results: ${outdir}" : "results so far: ${outdir}; run again with -resume when the cause is gone").toString()
    return (head + lines + othersIn(outdir, rows) + page).collect { line -> "chiflow: ${line}" }.join('\n')
}

// What lies in OUT and is not of this launch.
def othersIn(outdir, rows) {
    def left = earlier(outdir, rows).size()
    def aside = outsideOf(outdir)
    return (left ? ["${left} ${left == 1 ? 'run' : 'runs'} of earlier launches in the same folder: see pipeline_info/runs.tsv".toString()] : []) +
        (aside.exists() ? ["files that are not of this launch were moved to ${aside}".toString()] : [])
}

def shortened(all, most, table) {
    def lines = all.collect { line -> line.size() > 300 ? "${line.take(299)}…".toString() : line.toString() }
    return lines.size() <= most ? lines : lines.take(most - 1) + ["… and ${lines.size() - most + 1} more in pipeline_info/${table}".toString()]
}
