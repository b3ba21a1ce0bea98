// Which of the user's own files go with a run, and the options that hand them to an executable. Includes nothing: see folders.nf.

// What was given for a run: the image whose name shares most with the run's id, and the table of names that says most of it; or nothing.
def givenFor(given, id) {
    def image = candidates(given, id)[0]
    if (!image) {
        return []
    }
    def tables = given.findAll { path -> path.name.endsWith('.tsv') && image.startsWith(path.parent) && entitiesOf(image).containsAll(entitiesOf(path)) }
    return [image] + (tables ? [tables.max { path -> entitiesOf(path).size() }] : [])
}

// Images that fit a run best, more than one where their names do not tell which is meant: those whose entities are the run's, as many as possible.
// Of masks of one run that of the brain is meant, and one that names no part of it before one that does.
def candidates(given, id) {
    def ofRun = id.tokenize('_')
    def fitting = given.findAll { path -> !path.name.endsWith('.tsv') && !isElsewhere(path) && ofRun.containsAll(placeOf(path)) }
    def most = fitting.collect { path -> placeOf(path).size() }.max()
    def best = fitting.findAll { path -> placeOf(path).size() == most }
    def plain = best.findAll { path -> !entitiesOf(path).any { part -> part ==~ /(desc|label)-.*/ } || path.name ==~ /.*(desc|label)-brain_.*/ }
    return best.size() > 1 && plain ? plain : best
}

// One line for each run that more than one image fits.
def unclear(given, ids) {
    return ids.collectEntries { id -> [id, candidates(given, id)] }.findAll { _id, images -> images.size() > 1 }
        .collect { id, images -> "${id}: ${images.collect { path -> "${path.parent.name}/${path.name}" }.join(' and ')} fit alike, keep one of them".toString() }
}

// [name, reason] of each image that goes with no run.
def unused(given, ids) {
    def used = ids.collectMany { id -> candidates(given, id) } as Set
    return given.findAll { path -> !path.name.endsWith('.tsv') && !(path in used) }.collect { path -> [path.name, whyUnused(path, ids)] }
}

def whyUnused(path, ids) {
    if (isElsewhere(path)) {
        return 'not used: it is in another space than the scan, as its name says'
    }
    return ids.any { id -> id.tokenize('_').containsAll(placeOf(path)) } ? 'not used: another fits the run better' : 'not used: it fits no run, name it after one: sub-<label>[_…]'
}

def entitiesOf(path) {
    return path.name.replaceAll(/(?i)\.(nii|nii\.gz|tsv)$/, '').tokenize('_').findAll { part -> part.contains('-') }
}

// The entities that say whose an image is; programs that make masks add to the name of the image they were given.
def placeOf(path) {
    return entitiesOf(path).findAll { part -> !(part ==~ /(desc|label|seg|space|res|echo|part|coil)-.*/) }
}

// Whether a name says that the image is in another space: T1w, MNI… are not the scan's.
def isElsewhere(path) {
    return entitiesOf(path).any { part -> part ==~ /space-.*/ && !(part ==~ /(?i)space-(orig|scanner|individual|native|scan|.*GRE|T2starw|swi)/) }
}

// The options of an executable for the files a user gave: --<name> IMAGE --<names> TABLE.
def givenOptions(given, name, names) {
    def files = given instanceof java.nio.file.Path ? [given] : given
    return files.collect { path -> "--${path.name.endsWith('.tsv') ? names : name} ${path}" }.join(' ')
}
