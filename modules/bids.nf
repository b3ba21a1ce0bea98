// BIDS data sets: sub-*/[ses-*/]anat/*_MEGRE files, one run for each name without its echo-, part- and coil- entities. A data set without
// them gives the field maps of its fmap/ folders: magnitude1, magnitude2 and phasediff, or phase1 and phase2.

include { filesBelow ; stopOn } from './folders'

def isBids(folder) {
    return folder.resolve('dataset_description.json').exists() || (megreFiles(folder) + fieldMapFiles(folder)).any { path -> path.name =~ /(?i)[.]nii/ }
}

def megreFiles(folder) {
    return namedFiles(folder, 'anat', 'MEGRE')
}

def fieldMapFiles(folder) {
    def found = namedFiles(folder, 'fmap', 'magnitude[12]|phase[12]|phasediff')
    def withPhase = found.findAll { path -> path.name =~ /_phase(diff|[12])\.nii/ }.collect { path -> [path.parent, runId(path.name)] } as Set
    return found.findAll { path -> [path.parent, runId(path.name)] in withPhase }
}

def namedFiles(folder, place, names) {
    def subjects = folder.listFiles().findAll { path -> path.isDirectory() && path.name.startsWith('sub-') }.sort()
    def found = subjects.collectMany { subject -> filesBelow(subject) }
    return found.findAll { path -> path.parent.name == place && path.name.matches("(?s).*_(${names})[.](?i:nii|nii[.]gz|json)") }
}

def runId(name) {
    return withoutSuffix(name.replaceAll(/_(echo|part|coil)-[^_]*/, ''))
}

def suffixes() {
    return 'MEGRE|magnitude[12]|phase[12]|phasediff'
}

def withoutSuffix(name) {
    return name.replaceAll("_(${suffixes()})[.].*", '')
}

def isGeneralSidecar(name) {
    return name.matches("([a-z]+-[A-Za-z0-9]+_)*(${suffixes()})[.]json")
}

def wellNamed(id) {
    return id ==~ /sub-[A-Za-z0-9]+(_[a-z]+-[A-Za-z0-9]+)*/
}

// Runs as [meta, files, inherited sidecars], and what was set aside as [name, reason].
def bidsRuns(folder) {
    def found = megreFiles(folder) ?: fieldMapFiles(folder)
    def (good, bad) = found.split { path -> wellNamed(withoutSuffix(path.name)) }
    def images = good.findAll { path -> !path.name.endsWith('.json') }
    def stems = images.collect { path -> path.parent.resolve(path.name.replaceAll(/(?i)\.nii(\.gz)?$/, '')) } as Set
    def (own, general) = (good - images).split { path -> path.parent.resolve(path.name - '.json') in stems }
    def sidecars = folder.listFiles().findAll { path -> isGeneralSidecar(path.name) } + generalSidecars(folder) + general
    def runs = (images + own).groupBy { path -> [path.parent, runId(path.name)] }
    def (alone, twice) = runs.keySet().split { key -> runs.keySet().count { other -> other[1] == key[1] } == 1 }
    def aside = bad.collect { path -> [path.name.replaceAll(/[^\w.-]/, '?'), 'not a BIDS name'] } + twice.collect { key -> [key[1], 'two folders have this run'] }
    return [alone.collect { key -> [[id: key[1]], runs[key], sidecars.findAll { sidecar -> applies(sidecar, key[0], key[1]) }] }, aside.unique()]
}

// Sidecars at the subject or session level.
def generalSidecars(folder) {
    def levels = folder.listFiles().findAll { path -> path.isDirectory() && path.name.startsWith('sub-') }
    levels = levels + levels.collectMany { subject -> subject.listFiles().findAll { path -> path.isDirectory() && path.name.startsWith('ses-') } }
    return levels.collectMany { level -> level.listFiles().findAll { path -> isGeneralSidecar(path.name) } }
}

// The inheritance principle: a sidecar holds for files below its folder whose entities include its own.
def applies(sidecar, folder, id) {
    def entities = sidecar.name.split('_').findAll { part -> part.contains('-') && !(part ==~ /(echo|part|coil)-.*/) }
    return folder.startsWith(sidecar.parent) && entities.every { entity -> entity in id.split('_') }
}
