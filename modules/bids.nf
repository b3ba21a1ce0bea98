// BIDS data sets: sub-*/[ses-*/]anat/*_MEGRE files, one run for each name without its echo- and part- entities.

include { filesBelow ; stopOn } from './folders'

def isBids(folder) {
    return folder.resolve('dataset_description.json').exists() || megreFiles(folder).any { path -> path.name.contains('_MEGRE.nii') }
}

def megreFiles(folder) {
    def subjects = folder.listFiles().findAll { path -> path.isDirectory() && path.name.startsWith('sub-') }.sort()
    return subjects.collectMany { subject -> filesBelow(subject) }.findAll { path -> path.parent.name == 'anat' && path.name ==~ /(?s).*_MEGRE\.(nii|nii\.gz|json)/ }
}

def runId(name) {
    return name.replaceAll(/_(echo|part)-[^_]*/, '').replaceAll(/_MEGRE\..*/, '')
}

def wellNamed(id) {
    return id ==~ /sub-[A-Za-z0-9]+(_[a-z]+-[A-Za-z0-9]+)*/
}

// Runs as [meta, files, inherited sidecars], and what was set aside as [name, reason].
def bidsRuns(folder) {
    def found = megreFiles(folder)
    def (good, bad) = found.split { path -> wellNamed(path.name.replaceAll(/_MEGRE\..*/, '')) }
    def images = good.findAll { path -> !path.name.endsWith('.json') }
    def stems = images.collect { path -> path.parent.resolve(path.name.replaceAll(/\.nii(\.gz)?$/, '')) } as Set
    def (own, general) = (good - images).split { path -> path.parent.resolve(path.name - '.json') in stems }
    def sidecars = folder.listFiles().findAll { path -> path.name ==~ /([a-z]+-[A-Za-z0-9]+_)*MEGRE\.json/ } + generalSidecars(folder) + general
    def runs = (images + own).groupBy { path -> [path.parent, runId(path.name)] }
    def (alone, twice) = runs.keySet().split { key -> runs.keySet().count { other -> other[1] == key[1] } == 1 }
    def aside = bad.collect { path -> [path.name.replaceAll(/[^\w.-]/, '?'), 'not a BIDS name'] } + twice.collect { key -> [key[1], 'two folders have this run'] }
    return [alone.collect { key -> [[id: key[1]], runs[key], sidecars.findAll { sidecar -> applies(sidecar, key[0], key[1]) }] }, aside.unique()]
}

// Sidecars at the subject or session level.
def generalSidecars(folder) {
    def levels = folder.listFiles().findAll { path -> path.isDirectory() && path.name.startsWith('sub-') }
    levels = levels + levels.collectMany { subject -> subject.listFiles().findAll { path -> path.isDirectory() && path.name.startsWith('ses-') } }
    return levels.collectMany { level -> level.listFiles().findAll { path -> path.name ==~ /([a-z]+-[A-Za-z0-9]+_)+MEGRE\.json/ } }
}

// The inheritance principle: a sidecar holds for files below its folder whose entities include its own.
def applies(sidecar, folder, id) {
    def entities = sidecar.name.split('_').findAll { part -> part.contains('-') && !(part ==~ /(echo|part)-.*/) }
    return folder.startsWith(sidecar.parent) && entities.every { entity -> entity in id.split('_') }
}

// The user's mask for a run: sub-…_mask.nii[.gz], the name that shares most with the run's id.
def maskOf(masks, id) {
    def fitting = masks.findAll { path -> id == maskId(path) || id.startsWith("${maskId(path)}_") }
    return fitting ? [fitting.max { path -> maskId(path).size() }] : []
}

def maskId(path) {
    return path.name.replaceAll(/(_(desc|label|space)-[^_]*)*_mask\.nii(\.gz)?$/, '')
}

def masksIn(name) {
    def folder = file(name, glob: false)
    def masks = folder.isDirectory() ? filesBelow(folder).findAll { path -> path.name ==~ /sub-[\w-]+_mask\.nii(\.gz)?/ } : []
    if (!masks) {
        stopOn(['--masks: there is no folder of that name with files sub-<label>[_…]_mask.nii or .nii.gz'])
    }
    return masks
}
