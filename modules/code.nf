// What a stage's result depends on besides its inputs: the engine sees the executable, not the package that it imports.

// rooms: those that the stage's own imports, besides core.
def codeOf(stage, rooms = []) {
    def sources = (["${stage}.py", 'chiflow/__init__.py', "chiflow/${stage}.py", "chiflow/${stage}", 'chiflow/core'] + rooms.collect { room -> "chiflow/${room}" })
        .collect { name -> projectDir.resolve("bin/${name}") }
        .collectMany { source -> sourceFiles(source) }
    if (!sources) {
        error("bin/${stage}.py: no such file")
    }
    return sources.collect { source -> "${projectDir.relativize(source)}\n${source.text}" }.join('\n').sha256()
}

def sourceFiles(source) {
    if (source.isDirectory()) {
        return source.listFiles().sort().collectMany { inner -> sourceFiles(inner) }
    }
    return source.exists() && source.name ==~ /.+\.(py|html)/ ? [source] : []
}

// Weights of networks and their cards.
def weightsOf(names) {
    def files = names.collectMany { name -> ['json', 'safetensors'].collect { kind -> projectDir.resolve("weights/${name}.${kind}") } }
    return files.findAll { path -> path.exists() }
}
