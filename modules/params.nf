// Parameters: nextflow_schema.json is the one truth; --help, defaults and every check come from it.

include { stopOn ; printable } from './folders'

def schemaGroups() {
    return new groovy.json.JsonSlurper().parseText(projectDir.resolve('nextflow_schema.json').text)['$defs'].values()
}

// The unwrappings in the order that the gate tries them, three at most: the one asked for, then the others as the schema lists them.
def unwrappings(asked) {
    def known = schemaGroups().collectEntries { group -> group.properties }.unwrapping['enum']
    return ([asked ?: known[0]] + known).unique().take(3)
}

// The parameters that decide what the maps are.
def methodsOf(options) {
    def names = new groovy.json.JsonSlurper().parseText(projectDir.resolve('nextflow_schema.json').text)['$defs'].methods.properties.keySet()
    return options.subMap(names)
}

// Inversions that take the total field: no background removal before them.
def isOfTotalField(inversion) {
    return inversion in ['net-total', 'tfi']
}

def helpText() {
    def lines = ['chiflow: quantitative susceptibility maps from multi-echo gradient-echo MRI', '', 'nextflow run . --input FOLDER --outdir FOLDER [-profile NAME] [-resume]']
    schemaGroups().each { group ->
        lines += ['', group.title]
        group.properties.each { name, rule ->
            def kind = rule['enum'] ? "${rule.type}: ${rule['enum'].join(' | ')}; default ${rule['enum'][0]}" : rule.type
            def about = [kind, name in group.required ? 'required' : null, rule['default'] in [null, ''] ? null : "default ${rule['default']}"]
            lines << "  --${name}".padRight(22) + "${rule.description} [${about.findAll().join(', ')}]"
        }
    }
    return lines.join('\n')
}

// The parameters with the types of the schema; all that is wrong with them ends the run before any task.
def checkedParams(given) {
    def rules = schemaGroups().collectEntries { group -> group.properties }
    def isTraining = given.train?.toString() == 'true'
    def required = schemaGroups().collectMany { group -> group.required ?: [] } - (isTraining ? ['input'] : [])
    def faults = given.keySet().findAll { name -> !(name in rules) }
        .collect { name -> "--${printable(name)}: there is no such parameter${didYouMean(name, rules.keySet().collect { known -> "--${known}" })}" }
    def values = [:]
    rules.each { name, rule ->
        def value = given[name] == null ? '' : given[name]
        def fault = value.toString() == '' ? (name in required ? 'is missing' : null) : faultOf(value, rule)
        if (fault) {
            faults << "--${name}: ${fault}"
        }
        else {
            values[name] = value.toString() == '' ? rule['default'] : cast(value, rule.type)
        }
    }
    if (isTraining && values.input) {
        faults << '--input: --train takes none, its data are made from --labels'
    }
    stopOn(faults)
    return values
}

def faultOf(value, rule) {
    def text = value.toString()
    if (rule.type != 'boolean' && value instanceof Boolean) {
        return "a value is missing (${rule.type})"
    }
    def forms = [boolean: /true|false/, integer: /[-+]?\d+/, number: /[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?/, string: /(?s).*/]
    if (!(text ==~ forms[rule.type])) {
        return "'${printable(text)}' is not of type ${rule.type}"
    }
    if (rule['enum'] && !(text in rule['enum'])) {
        return "'${printable(text)}' is none of ${rule['enum'].join(', ')}${didYouMean(text, rule['enum'])}"
    }
    if (rule.pattern && !(text ==~ rule.pattern)) {
        return "'${printable(text)}' does not have the form ${rule.pattern}"
    }
    if (rule.minimum != null && (text as BigDecimal) < rule.minimum || rule.maximum != null && (text as BigDecimal) > rule.maximum) {
        return "${text} is outside ${rule.minimum} to ${rule.maximum}"
    }
    return null
}

def cast(value, type) {
    def text = value.toString()
    return type == 'boolean' ? text == 'true' : type == 'integer' ? text as Long : type == 'number' ? text as BigDecimal : text
}

def didYouMean(word, names) {
    def best = names.min { name -> distance(letters(word), letters(name)) }
    return best && distance(letters(word), letters(best)) <= Math.max(2, best.size().intdiv(3)) ? ", did you mean ${best}?" : ''
}

def letters(name) {
    return name.toLowerCase().replaceAll(/[^a-z0-9]/, '')
}

// Levenshtein: how many letters to put in, take out or change.
def distance(a, b) {
    def above = (0..b.size()).toList()
    (0..<a.size()).each { i ->
        def row = [i + 1]
        (0..<b.size()).each { j -> row << [above[j + 1] + 1, row[j] + 1, above[j] + (a[i] == b[j] ? 0 : 1)].min() }
        above = row
    }
    return above[-1]
}
