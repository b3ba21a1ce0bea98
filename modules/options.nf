// Which of the user's own files go with a run, and the options that hand them to an executable. Includes nothing: see folders.nf.

// What was given for a run: the image whose name shares most with the run's id, and the table of names that says most of it; or nothing.
def givenFor(given, id) {
    def (tables, images) = given.split { path -> path.name.endsWith('.tsv') }
    def fitting = images.findAll { path -> id == runOf(path) || id.startsWith("${runOf(path)}_") }
    if (!fitting) {
        return []
    }
    def image = fitting.max { path -> runOf(path).size() }
    def parts = entitiesOf(image)
    def naming = tables.findAll { path -> image.startsWith(path.parent) && parts.containsAll(entitiesOf(path)) }
    return [image] + (naming ? [naming.max { path -> entitiesOf(path).size() }] : [])
}

def entitiesOf(path) {
    return path.name.replaceAll(/\.(nii|nii\.gz|tsv)$/, '').tokenize('_').findAll { part -> part.contains('-') }
}

def runOf(path) {
    return entitiesOf(path).findAll { part -> !(part ==~ /(desc|label|seg|space|res)-.*/) }.join('_')
}

// The options of an executable for the files a user gave: --<name> IMAGE --<names> TABLE.
def givenOptions(given, name, names) {
    def files = given instanceof java.nio.file.Path ? [given] : given
    return files.collect { path -> "--${path.name.endsWith('.tsv') ? names : name} ${path}" }.join(' ')
}
