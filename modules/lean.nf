// --lean: an intermediate image loses its content as soon as every task that needs it has ended well. A file of its name, size and time
// stays in its place, so that -resume still finds the tasks around it done; what would read it again is told to start anew.

include { stopOn } from './folders'

def workDirectory() {
    def folder = workflow.workDir
    if (folder.toUri().scheme != 'file') {
        stopOn(['--lean: needs a work directory on a file system; on an object store let a lifecycle rule of the bucket delete old objects'])
    }
    return folder.toAbsolutePath()
}

// Files: [meta, files …]; done: [meta, …] for each run whose tasks need them no more.
def emptyAfter(ch_files, ch_done, folder) {
    ch_files.map { parts -> [parts[0], parts.tail().flatten().findAll()] }.join(ch_done.map { parts -> [parts[0], true] }).subscribe { _meta, files, _done ->
        files.findAll { path -> path.name.endsWith('.nii') && isOfTask(path, folder) }.each { path -> emptied(path) }
    }
}

// The runs with those of their files that no other run reads.
def unshared(ch_runs) {
    return ch_runs.toList().flatMap { runs ->
        def readers = runs.collectMany { parts -> parts[1] }.countBy { path -> path }
        runs.collect { parts -> [parts[0], parts[1].findAll { path -> readers[path] == 1 }] }
    }
}

// Whether a task wrote the file: it lies in a task's folder and is no link. What the user gave stays, wherever it is.
def isOfTask(path, folder) {
    def place = path.toAbsolutePath()
    return place.startsWith(folder) && folder.relativize(place).toString() ==~ /[0-9a-f]{2}\/[0-9a-f]{30}\/.+/ && !java.nio.file.Files.isSymbolicLink(path)
}

def emptied(path) {
    def time = java.nio.file.Files.getLastModifiedTime(path)
    def hollow = path.resolveSibling(".${path.name}.hollow")
    def content = new RandomAccessFile(hollow.toFile(), 'rw')
    content.write('chiflow --lean: content removed after use'.bytes)
    content.setLength(path.size())
    content.close()
    java.nio.file.Files.setLastModifiedTime(hollow, time)
    java.nio.file.Files.move(hollow, path, java.nio.file.StandardCopyOption.ATOMIC_MOVE)
}
