// Images of the user's own that go with runs: brain masks, reference regions, labels. The name says which run: sub-<label>[_…]_mask.nii.gz.

include { filesBelow ; stopOn ; withoutContent } from './folders'
include { unclear ; unused } from './options'

// Images of a kind (mask, dseg) below a folder, and the tables of label names beside and above them.
def givenIn(parameter, name, kind) {
    def folder = file(name, glob: false)
    def found = folder.isDirectory() ? filesBelow(folder) : []
    def images = found.findAll { path -> path.name.matches("(?i)sub-[\\w-]+_${kind}[.]nii([.]gz)?") }
    if (!images) {
        stopOn(["--${parameter}: there is no folder of that name with files sub-<label>[_…]_${kind}.nii or .nii.gz"])
    }
    stopOn([withoutContent(images)].findAll().collect { fault -> "--${parameter}: ${fault}" })
    return images + found.findAll { path -> path.name.matches("([\\w-]+_)?${kind}[.]tsv") }
}

// What the user gave, by its purpose. A reference label is one of the segmentations.
def givenBy(options) {
    def labels = options.segmentations ? givenIn('segmentations', options.segmentations, 'dseg') : []
    if (options.reference_label) {
        stopOn(labels ? [] : ['--reference_label: is a label of --segmentations, which is missing'])
        stopOn(options.references ? ['--reference_label: --references gives regions already, name one of the two'] : [])
    }
    def regions = options.references ? givenIn('references', options.references, 'mask') : []
    return [masks: options.masks ? givenIn('masks', options.masks, 'mask') : [], labels: labels, references: options.reference_label ? labels : regions]
}

// [name, reason] of what was given and goes with no run; ends the launch when it is not clear what goes with which, or nothing of a kind does.
def notUsed(given, ids) {
    stopOn(given.values().collectMany { files -> unclear(files, ids) }.unique())
    def kinds = given.findAll { _kind, files -> files }.collectEntries { kind, files -> [kind, unused(files, ids)] }
    def idle = kinds.findAll { kind, rows -> ids && rows.size() == given[kind].count { path -> !path.name.endsWith('.tsv') } }
    stopOn(idle.collect { kind, rows -> "--${kind == 'labels' ? 'segmentations' : kind}: none of ${rows.size()} images goes with a run; ${rows[0][0]}: ${rows[0][1]}" })
    return kinds.values().collectMany { rows -> rows }.unique()
}
