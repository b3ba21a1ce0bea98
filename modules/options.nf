// The options of an executable for the files a user gave: --<name> IMAGE --<names> TABLE. Includes nothing: see folders.nf.
def givenOptions(given, name, names) {
    def files = given instanceof java.nio.file.Path ? [given] : given
    return files.collect { path -> "--${path.name.endsWith('.tsv') ? names : name} ${path}" }.join(' ')
}
