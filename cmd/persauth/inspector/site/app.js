// The inspector page. All that a token says is put into the page as text, never
// as markup; the Content-Security-Policy allows no script but this folder's, and
// no request to anywhere else.

const $ = (id) => document.getElementById(id)
const marks = { passed: '✓ passed', failed: '✗ failed', skipped: '– not checked' }

// The longest key set, in bytes, that is read from a file: more than the
// library takes.
const maxKeyFile = 2 << 20

// load fetches the verifier, shows how far it is, and starts it.
async function load() {
  const response = await fetch('persauth.wasm.gz')
  if (!response.ok) throw new Error(`persauth.wasm.gz: ${response.status} ${response.statusText}`)
  const size = Number(response.headers.get('content-length')) || 3.5e6
  let seen = 0
  const counted = response.body.pipeThrough(new TransformStream({
    transform(chunk, controller) {
      seen += chunk.byteLength
      $('progress').value = Math.min(seen / size, 1)
      controller.enqueue(chunk)
    },
  }))
  // A server that says "Content-Encoding: gzip" has the browser unpack it.
  const packed = response.headers.get('content-encoding') !== 'gzip'
  const module = packed ? counted.pipeThrough(new DecompressionStream('gzip')) : counted
  const go = new globalThis.Go()
  const { instance } = await WebAssembly.instantiateStreaming(
    new Response(module, { headers: { 'content-type': 'application/wasm' } }), go.importObject)
  go.run(instance).finally(() => {
    $('explain').disabled = true
    fail('The verifier has stopped. Reload the page.')
  })
  $('loading').hidden = true
  $('explain').disabled = false
  performance.mark('verifier-ready')
}

// configure asks this site which keys it offers, and which version it is.
async function configure() {
  const config = await (await fetch('config.json')).json()
  $('version').textContent = config.version ?? ''
  if (!config.keys) return
  const button = $('fetch-keys')
  button.textContent = `Use the keys of ${config.keys.from}`
  button.hidden = false
  button.addEventListener('click', async () => {
    try {
      const answer = await fetch(config.keys.file)
      const text = await answer.text()
      if (!answer.ok) throw new Error(text)
      $('keys').value = text
      say(`The keys of ${config.keys.from} are there.`)
    } catch (e) {
      say(`The keys cannot be had: ${e.message}`)
    }
  })
}

function request() {
  const value = (id) => $(id).value.trim()
  return {
    token: $('token').value, keys: $('keys').value,
    issuer: value('issuer'), audience: value('audience'), tenants: value('tenants').split(/\s+/).filter(Boolean),
    leeway: value('leeway'), now: value('now'),
    claimNames: { Tenant: value('name-tenant'), Business: value('name-business'), Role: value('name-role'), AuthType: value('name-auth') },
    proof: $('proof').value, method: value('method'), url: value('url'),
  }
}

function explain() {
  if ($('explain').disabled) return
  $('explain').disabled = true
  globalThis.persauthExplain(JSON.stringify(request()), (answer) => {
    $('explain').disabled = false
    show(JSON.parse(answer))
  })
}

function show(answer) {
  if (answer.problem) return fail(answer.problem)
  $('verdict').className = answer.verdict
  $('verdict').textContent = answer.title
  const list = document.createElement('ul')
  list.append(...(answer.reasons ?? []).map((reason) => element('li', reason)))
  $('reasons').replaceChildren(...(list.childElementCount ? [list] : []), element('p', `Checked as of ${answer.at}.`))
  rows('checks', answer.checks, (c) => [element('td', marks[c.result], c.result), head(c.name), element('td', c.want), element('td', c.got)])
  rows('claims', answer.claims, (c) => [head(c.name), element('td', c.value, 'value'), element('td', c.note)])
  rows('header', answer.header, (h) => [head(h.name), element('td', h.value, 'value')])
  rows('keyset', answer.keys, (k) => [head(k.kid || 'none'), element('td', k.type), element('td', k.algorithms),
    element('td', k.problem ? `cannot be used: ${k.problem}` : k.thumbprint, k.problem ? 'failed' : 'value')])
  $('report').value = answer.text
  $('report').hidden = true
  $('copied').textContent = ''
  $('details').hidden = false
}

function fail(text) {
  clearResult()
  $('verdict').className = 'invalid'
  $('verdict').textContent = 'It could not be looked at'
  say(text)
}

function say(text) {
  $('reasons').replaceChildren(element('p', text))
}

function rows(id, all, cells) {
  $(id).replaceChildren(...(all ?? []).map((one) => {
    const row = document.createElement('tr')
    row.append(...cells(one))
    return row
  }))
}

function head(text) {
  const cell = element('th', text)
  cell.scope = 'row'
  return cell
}

function element(name, text, className) {
  const e = document.createElement(name)
  e.textContent = text
  if (className) e.className = className
  return e
}

async function copy() {
  const report = $('report')
  try {
    await navigator.clipboard.writeText(report.value)
    $('copied').textContent = 'Copied.'
  } catch {
    report.hidden = false
    report.select()
    $('copied').textContent = 'Copy it from here.'
  }
}

function clearResult() {
  for (const id of ['checks', 'claims', 'header', 'keyset', 'reasons']) $(id).replaceChildren()
  $('report').value = ''
  $('verdict').className = ''
  $('verdict').textContent = 'No token yet'
  $('details').hidden = true
}

function clear() {
  for (const field of document.querySelectorAll('textarea, input')) field.value = ''
  clearResult()
}

async function readKeys(file) {
  if (!file) return
  if (file.size > maxKeyFile) return say(`The file has ${file.size} bytes, which is too much for a key set.`)
  $('keys').value = await file.text()
  say('The keys of the file are there.')
}

$('explain').addEventListener('click', explain)
$('clear').addEventListener('click', () => { clear(); $('token').focus() })
$('copy').addEventListener('click', copy)
$('choose').addEventListener('click', () => $('file').click())
$('file').addEventListener('change', () => readKeys($('file').files[0]))
document.addEventListener('keydown', (e) => { if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) explain() })
const drop = $('drop')
drop.addEventListener('dragover', (e) => { e.preventDefault(); drop.classList.add('over') })
drop.addEventListener('dragleave', () => drop.classList.remove('over'))
drop.addEventListener('drop', (e) => { e.preventDefault(); drop.classList.remove('over'); readKeys(e.dataTransfer.files[0]) })
// A browser may keep a page that was left, and show it again as it was.
addEventListener('pagehide', clear)

const start = () => {
  configure().catch(() => {}) // a page without it offers no keys
  load().catch((e) => {
    $('loading').hidden = true
    fail(`The verifier could not be loaded: ${e.message}`)
  })
}
// The page is shown first.
requestAnimationFrame(() => setTimeout(start))
