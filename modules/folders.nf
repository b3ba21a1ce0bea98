// What the user names is looked at before any task; what cannot be used ends the run with one line. Includes nothing: the strict
// parser takes a file of functions that includes others from one place only.

// Every file below a folder, links followed, in the order of their names; and links that lead to nothing, which `exists()` tells.
def filesBelow(folder) {
    try {
        return java.nio.file.Files.walk(folder, java.nio.file.FileVisitOption.FOLLOW_LINKS).toList().findAll { path -> path.isFile() || !path.exists() }.sort()
    }
    catch (UncheckedIOException fault) {
        stopOn(["the input has a folder that cannot be read, or a link to a folder around itself (${fault.cause.class.simpleName})"])
    }
}

// What to say of files that are links to nothing, as DataLad, git-annex and DVC leave them; null when there are none.
def withoutContent(files) {
    def hollow = files.findAll { path -> !path.exists() }
    def what = hollow.size() == 1 ? 'a file is a link' : "${hollow.size()} files are links"
    return hollow ? "${what} to nothing: get the content first (datalad get, git annex get, dvc pull)".toString() : null
}

def inputFolder(option, name) {
    def folder = file(name, glob: false)
    if (!folder.isDirectory()) {
        stopOn(["--${option}: there is no folder ${printable(name)}"])
    }
    if (!folder.list()) {
        stopOn(["--${option}: the folder ${printable(name)} is empty"])
    }
    return folder
}

// Single files, so that an edit of one is seen when a training resumes.
def labelMaps(name) {
    def maps = inputFolder('labels', name).listFiles().findAll { path -> path.name ==~ /.+\.nii(\.gz)?/ }.sort()
    if (!maps) {
        stopOn(["--labels: no label maps (.nii, .nii.gz) in ${printable(name)}"])
    }
    return maps
}

def outputFolder(option, name) {
    def folder = file(name, glob: false)
    try {
        java.nio.file.Files.createDirectories(folder)
        def trial = folder.resolve(".chiflow-${UUID.randomUUID()}")
        trial.text = 'x'
        java.nio.file.Files.delete(trial)
    }
    catch (IOException fault) {
        stopOn(["--${option}: cannot write into ${printable(name)} (${fault.class.simpleName})"])
    }
    return folder
}

// One run at a time writes into a folder; the lock ends with the run, however it ends. Null where a file system knows no locks.
def lockOn(folder, name) {
    if (folder.toUri().scheme != 'file') {
        return null
    }
    try {
        def (create, write) = [java.nio.file.StandardOpenOption.CREATE, java.nio.file.StandardOpenOption.WRITE]
        def lock = java.nio.channels.FileChannel.open(folder.resolve('.lock'), create, write).tryLock()
        if (!lock) {
            stopOn(["--outdir: another run is writing into ${printable(name)}: wait for its end, or name another folder"])
        }
        return lock
    }
    catch (IOException _fault) {
        return null
    }
}

def printable(text) {
    return text.replaceAll(/(?U)[^\p{Print}]/, '?')
}

// Say each line on standard error and end with exit status 1.
def stopOn(lines) {
    if (lines) {
        System.err.println(lines.collect { line -> "error: ${line}" }.join('\n'))
        System.exit(1)
    }
}
