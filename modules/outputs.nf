// What chiflow puts into OUT, and what of an earlier launch may stay there. pipeline_info/published has a table for each run: place, size
// and checksum of each file. What is in no table was not written by chiflow and is never touched. Includes nothing: see folders.nf.

// Where each file of a task belongs in OUT: its path below the task's folder.
def placesOf(files) {
    return files.collectEntries { path ->
        def names = path.iterator().collect { part -> part.toString() - '/' }
        [names.drop(names.findLastIndexOf { name -> name ==~ /[0-9a-f]{30}/ } + 1).join('/'), path]
    }
}

// Put files [place: file] into OUT in the place of what an earlier launch published by that name. What is left of that one is deleted
// when this launch made all of it, else set aside. Returns null, or what was in the way.
def put(outdir, name, files, whole) {
    def known = publishedOf(outdir, name)
    try {
        def strange = files.keySet().findAll { place -> !known.containsKey(place) && outdir.resolve(place).exists() }
        if (strange) {
            return "--outdir has a file that chiflow did not write, ${strange.min()}: move it away, or name another folder"
        }
        keepPublished(outdir, name, files.collectEntries { place, _file -> [place, [:]] } + known)
        (known.keySet() - files.keySet()).each { place -> takenAway(outdir, place, known[place], whole) }
        keepPublished(outdir, name, files.collectEntries { place, file -> [place, placed(outdir, place, known[place] ?: [:], file)] })
    }
    catch (IOException fault) {
        return "cannot be written into --outdir (${fault.class.simpleName}: ${fault.message})".toString()
    }
    return null
}

// What an earlier launch published by a name is set aside.
def retire(outdir, name) {
    publishedOf(outdir, name).each { place, entry -> takenAway(outdir, place, entry, false) }
    java.nio.file.Files.deleteIfExists(tableOf(outdir, name))
}

def tableOf(outdir, name) {
    return outdir.resolve("pipeline_info/published/${name}.tsv")
}

// Names of all that was published and not taken away since.
def publishedNames(outdir) {
    def folder = outdir.resolve('pipeline_info/published')
    return folder.exists() ? folder.list().findAll { name -> name.endsWith('.tsv') }.collect { name -> name - ~/[.]tsv$/ }.sort() : []
}

// [place: [size, checksum, time (ms), source]]; an entry without content is of a launch that was ended while it wrote.
def publishedOf(outdir, name) {
    def table = tableOf(outdir, name)
    def rows = table.exists() ? table.readLines().drop(1).collect { line -> line.split('\t', -1).toList() } : []
    return rows.collectEntries { place, size, checksum, time, source -> [place, size ? [size: size, checksum: checksum, time: time, source: source] : [:]] }
}

def keepPublished(outdir, name, entries) {
    def rows = entries.sort().collect { place, entry -> [place] + ['size', 'checksum', 'time', 'source'].collect { key -> entry[key] ?: '' } }
    writeWhole(tableOf(outdir, name), ([['place', 'size', 'crc32', 'time', 'source']] + rows).collect { row -> row.join('\t') + '\n' }.join(''))
}

// A file of a task in its place, whole or not at all; one that lies there already is not copied again. Returns its entry.
def placed(outdir, place, known, file) {
    def target = outdir.resolve(place)
    def source = "${file.parent.name}/${file.name}@${file.lastModified()}".toString()
    if (target.exists()) {
        if (!isAsWritten(target, known)) {
            setAside(outdir, place)
        }
        else if (known.source == source) {
            return known
        }
    }
    java.nio.file.Files.createDirectories(target.parent)
    def checksum = copied(file, target)
    return [size: target.size(), checksum: checksum, time: target.lastModified(), source: source]
}

def copied(file, target) {
    if (!isLocalFile(target)) {
        java.nio.file.Files.deleteIfExists(target)
        file.copyTo(target)
        return ''
    }
    def part = target.resolveSibling(".${target.name}.part")
    def sum = new java.util.zip.CRC32()
    def content = new java.util.zip.CheckedInputStream(java.nio.file.Files.newInputStream(file), sum)
    content.withCloseable { stream -> java.nio.file.Files.copy(stream, part, java.nio.file.StandardCopyOption.REPLACE_EXISTING) }
    java.nio.file.Files.move(part, target, java.nio.file.StandardCopyOption.ATOMIC_MOVE)
    return Long.toHexString(sum.value)
}

// Whether a file is what chiflow wrote: its size, and its time or its content. An object store keeps no time of ours.
def isAsWritten(target, known) {
    if (!known || !isLocalFile(target)) {
        return true
    }
    return target.size().toString() == known.size.toString() && (target.lastModified().toString() == known.time.toString() || checksumOf(target) == known.checksum)
}

def checksumOf(path) {
    def sum = new java.util.zip.CRC32()
    new java.util.zip.CheckedInputStream(java.nio.file.Files.newInputStream(path), sum).withCloseable { stream -> stream.transferTo(OutputStream.nullOutputStream()) }
    return Long.toHexString(sum.value)
}

def takenAway(outdir, place, known, whole) {
    def target = outdir.resolve(place)
    if (target.exists() && whole && isAsWritten(target, known)) {
        java.nio.file.Files.delete(target)
    }
    else if (target.exists()) {
        setAside(outdir, place)
    }
    withoutEmpty(target.parent, outdir)
}

// Out of the way of the present results, into a folder of this launch; an object store moves by copying.
def setAside(outdir, place) {
    def target = outsideOf(outdir).resolve(place)
    java.nio.file.Files.createDirectories(target.parent)
    if (isLocalFile(target)) {
        java.nio.file.Files.move(outdir.resolve(place), target)
    }
    else {
        outdir.resolve(place).copyTo(target)
        java.nio.file.Files.delete(outdir.resolve(place))
    }
}

def outsideOf(outdir) {
    return outdir.resolve("pipeline_info/outdated/${workflow.runName}")
}

def withoutEmpty(folder, outdir) {
    if (folder != outdir && folder.exists() && !folder.list()) {
        java.nio.file.Files.delete(folder)
        withoutEmpty(folder.parent, outdir)
    }
}

def isLocalFile(path) {
    return path.toUri().scheme == 'file'
}

// A text in its place, whole or not at all.
def writeWhole(path, text) {
    if (!isLocalFile(path)) {
        path.text = text
        return
    }
    def part = path.resolveSibling(".${path.name}.part")
    part.text = text
    java.nio.file.Files.move(part, path, java.nio.file.StandardCopyOption.ATOMIC_MOVE)
}
