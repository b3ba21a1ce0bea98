// DICOM folders: one conversion a top-level folder, then the series of all of them are arranged to runs.

include { CONVERT } from './convert'
include { ARRANGE } from './arrange'
include { codeOf } from './code'
include { filesBelow ; withoutContent } from './folders'
include { failed } from './tasks'
include { contentOf } from './records'

// One [fingerprint, depth, folder] for each top-level folder, and one for the files beside them. The engine looks at a folder's
// name only, so the fingerprint stands for what is in it.
def dicomFolders(input) {
    def folders = input.listFiles().findAll { path -> path.isDirectory() }.sort().collect { folder -> [null, folder, filesBelow(folder)] }
    def loose = [0, input, input.listFiles().findAll { path -> path.isFile() || !path.exists() }.sort()]
    def (whole, hollow) = (folders + [loose]).findAll { entry -> entry[2] }.split { entry -> !withoutContent(entry[2]) }
    hollow.each { _depth, folder, files -> failed('INPUT', fingerprint(folder, []).take(8), withoutContent(files)) }
    return whole.collect { depth, folder, files -> [fingerprint(folder, files), depth, folder] }
}

def fingerprint(folder, files) {
    def told = files.collect { path -> "${folder.relativize(path)}|${path.size()}|${path.lastModified()}" }
    return ([folder.name] + told).join('\n').sha256()
}

// The key that turns patient identity into labels; made once, never leaves this machine's private folder and the tasks.
def labelKey(folder) {
    def key = folder.resolve('key')
    if (!key.exists()) {
        java.nio.file.Files.createFile(key)
        key.setPermissions('rw-------')
        key.text = new BigInteger(256, new java.security.SecureRandom()).toString(16) + '\n'
    }
    return key
}

// subjects.tsv and folders.tsv of the private folder: what labels and folder numbers stand for.
def keepPrivate(folder, name, tables) {
    def target = folder.resolve(name)
    def known = target.exists() ? target.readLines() : []
    def lines = (known + tables.collectMany { table -> table.readLines() }).findAll()
    target.text = lines.unique().collect { line -> line + '\n' }.join('')
    target.setPermissions('rw-------')
}

// The runs of runs.json as [meta, files, no inherited sidecars].
def arrangedRuns(table, series) {
    def byName = series.groupBy { path -> path.name }
    return contentOf(table).Runs.collect { run ->
        def names = run.Files.collectMany { name -> [name, name.replaceAll(/\.nii$/, '.json')] }.unique()
        [[id: run.Id], names.collect { name -> byName[name] ? byName[name].sort()[0] : null }.findAll(), []]
    }
}

def asideIn(path) {
    return (contentOf(path).Aside ?: []).collect { entry -> [entry.Name, entry.Reason] }
}

workflow DICOM {
    take:
    input
    private_folder

    main:
    def folders = dicomFolders(input)
    CONVERT(channel.fromList(folders), labelKey(private_folder), codeOf('convert'))
    CONVERT.out.subjects.collect().subscribe { tables -> keepPrivate(private_folder, 'subjects.tsv', tables) }
    ch_series = CONVERT.out.series.flatten().toSortedList { path -> [path.name, path.toString()].join('|') }
    ARRANGE(ch_series.map { paths -> paths.findAll { path -> path.name.endsWith('.json') } }.filter { paths -> paths }, codeOf('arrange'))
    runs = ARRANGE.out.runs.combine(ch_series.map { paths -> [paths] }).flatMap { table, paths -> arrangedRuns(table, paths) }
    aside = CONVERT.out.record.mix(ARRANGE.out.runs).flatMap { path -> asideIn(path) }
    records = CONVERT.out.record

    emit:
    runs
    aside
    records
}
