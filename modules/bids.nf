// BIDS data sets: sub-*/[ses-*/]anat/*_MEGRE files, one run for each name without its echo-, part- and coil- entities. A data set without
// them gives the field maps of its fmap/ folders: magnitude1, magnitude2 and phasediff, or phase1 and phase2.

include { filesBelow ; printable ; stopOn ; withoutContent } from './folders'
include { failed } from './tasks'

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
    def (whole, hollow) = alone.split { key -> !withoutContent(runs[key]) }
    hollow.each { key -> failed('INPUT', key[1], withoutContent(runs[key])) }
    stopOn(whole || hollow ? [] : ["no run to process was found: ${imagesIn(folder)}"] + aside.collect { name, reason -> "${name}: ${reason}" })
    return [whole.collect { key -> [[id: key[1]], runs[key], sidecars.findAll { sidecar -> applies(sidecar, key[0], key[1]) }] }, aside.unique()]
}

// What images a data set has in place of those that make a run.
def imagesIn(folder) {
    def names = folder.listFiles().findAll { path -> path.isDirectory() && path.name.startsWith('sub-') }.collectMany { subject -> filesBelow(subject) }*.name
    def kinds = names.findAll { name -> name ==~ /(?s).+[.]nii([.]gz)?/ }.countBy { name -> printable(name.replaceAll(/[.]nii([.]gz)?$/, '').tokenize('_')[-1]) }
    def found = kinds ? "has images ${kinds.sort().collect { kind, count -> "_${kind} (${count})" }.join(', ')}" : 'has no image in sub-*/'
    return "the BIDS data set ${found}; a run is sub-*/[ses-*/]anat/*_echo-N_part-mag_MEGRE.nii[.gz] and part-phase, each with a sidecar"
}

// Ends the launch where a folder is neither DICOM nor a data set, and what it is can be told.
def refuseOtherKinds(folder) {
    def name = printable(folder.name)
    def isSubject = name.startsWith('sub-') && folder.listFiles().any { path -> path.isDirectory() && path.name ==~ /anat|fmap|ses-.+/ }
    stopOn(isSubject ? ["--input: ${name} is one subject of a BIDS data set: name the folder that holds it (a folder with a link to this one will do)"] : [])
    def names = filesBelow(folder)*.name.findAll { file -> !file.startsWith('.') }
    stopOn(names ? [] : ["no run to process was found: no file lies below ${name}"])
    def images = names.findAll { file -> file ==~ /(?si).+[.]nii([.]gz)?/ }
    def isOther = images && names.every { file -> file ==~ /(?si).+[.](nii|nii[.]gz|json|bval|bvec|tsv|txt)/ }
    def advice = 'name them sub-01/anat/sub-01_echo-1_part-mag_MEGRE.nii.gz and so on, each with a sidecar'
    stopOn(isOther ? ["no run to process was found: ${images.size()} NIfTI images without BIDS names in ${name}: ${advice}"] : [])
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
