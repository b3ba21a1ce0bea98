// The places of a launch: the engine's own files, which come to OUT when it ends, and which folders may lie in each other.

include { outputFolder ; printable ; stopOn } from './folders'

// Where nextflow.config lets the engine write while it runs: a launch that is refused leaves nothing in OUT.
def engineFolder() {
    return file("${workflow.launchDir}/.nextflow/chiflow/${ProcessHandle.current().pid()}", glob: false)
}

// The engine writes its report after all else, so its files are taken when the process ends. told: what main.nf knows by then.
def keepEngineFiles(told) {
    def folder = engineFolder()
    Runtime.runtime.addShutdownHook(new Thread({
        def names = told.info ? ['trace.txt', 'report.html', 'timeline.html', 'dag.mmd'] : []
        def files = names.collect { name -> folder.resolve(name) }.findAll { path -> path.exists() }
        files.each { path -> path.copyTo(told.info.resolve(path.name)) }
        folder.deleteDir()
    }))
}

// OUT, made when it is not there; ends the launch where results would come between what it reads, or over what chiflow did not write.
def resultFolder(options, isBids) {
    def outdir = file(options.outdir, glob: false)
    def read = ['input', 'masks', 'references', 'segmentations', 'labels'].findAll { name -> options[name] }
        .collectEntries { name -> [name, file(options[name], glob: false)] }
    stopOn(read.collect { name, folder -> overlap(name, folder, outdir, isBids) }.findAll())
    if (options.input && !isBids) {
        def kept = [private_dir: file(options.private_dir, glob: false), 'work-dir': workflow.workDir]
        stopOn(kept.findAll { _name, folder -> isWithin(folder, read.input) }
            .collect { name, folder -> "${name == 'work-dir' ? '-' : '--'}${name}: ${printable(folder.toString())} lies inside --input: name a folder outside of it" })
        def fault = "--private_dir: ${printable(options.private_dir)} lies inside --outdir; name a folder that stays on this machine"
        stopOn(isWithin(kept.private_dir, outdir) ? [fault] : [])
    }
    def ours = ['dataset_description.json', 'cohort.html', 'cohort.tsv', 'weights', 'pipeline_info']
    def strange = outdir.resolve('pipeline_info/published').exists() ? null : ours.find { name -> outdir.resolve(name).exists() }
    def whose = "has a ${strange} that chiflow did not write, or one from before it kept tables"
    stopOn(strange ? ["--outdir: ${printable(options.outdir)} ${whose}: name a new folder"] : [])
    outputFolder('outdir', options.outdir)
    outputFolder('outdir', "${options.outdir}/pipeline_info/published")
    return outdir
}

// What is wrong with OUT and a folder that is read; null when they lie apart. BIDS has a place for results inside the data set: derivatives/.
def overlap(name, folder, outdir, isBids) {
    def (out, input) = [outdir, folder].collect { path -> printable(path.toString()) }
    if (isWithin(outdir, folder) && isWithin(folder, outdir)) {
        return "--outdir: ${out} is the folder of --${name}: name another one"
    }
    if (isWithin(folder, outdir)) {
        return "--outdir: --${name} lies inside ${out}: name a folder that holds nothing else"
    }
    if (isWithin(outdir, folder) && !(name == 'input' && isBids && isWithin(outdir.parent, folder.resolve('derivatives')))) {
        return "--outdir: ${out} lies inside --${name}: name a folder outside of ${input}${name == 'input' && isBids ? ', or one in its derivatives/' : ''}"
    }
    return null
}

// Whether a place is a folder or lies in it, whatever links lead there. What does not exist yet lies where its last folder that exists is.
def isWithin(place, folder) {
    def (inner, outer) = [place, folder].collect { path -> withoutLinks(path) }
    def isThere = { path -> path.exists() && java.nio.file.Files.isSameFile(path, outer) }
    return inner.fileSystem == outer.fileSystem && (inner.startsWith(outer) || outer.exists() && parentsOf(inner).any(isThere))
}

def withoutLinks(path) {
    def whole = path.toAbsolutePath().normalize()
    if (whole.toUri().scheme != 'file') {
        return whole
    }
    def there = [whole] + parentsOf(whole)
    def known = there.find { part -> part.exists() }
    return known.toRealPath().resolve(known.relativize(whole))
}

// The place itself and the folders that it lies in, from the inside out.
def parentsOf(path) {
    return path == null ? [] : [path] + parentsOf(path.parent)
}
