/* The build's own plugins: theme before first paint, one font format for formulas, compressed twins, a budget of bytes. */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import type { Plugin } from 'vite'

/** Emits src/theme.js under a hashed name and loads it in the head: the content policy allows no inline script. */
export function themeScript(): Plugin {
  const source = () => readFileSync(new URL('../src/theme.js', import.meta.url), 'utf8')
  let reference = ''
  let building = false
  return {
    name: 'theme-script',
    configResolved(config) {
      building = config.command === 'build'
    },
    buildStart() {
      if (building) reference = this.emitFile({ type: 'asset', name: 'theme.js', source: source() })
    },
    transformIndexHtml: {
      order: 'post',
      handler(_html, context) {
        const emitted = Object.values(context.bundle ?? {}).find(
          (file) => file.type === 'asset' && file.names.includes('theme.js'),
        )
        if (building && !emitted) throw new Error(`the theme script ${reference} is missing from the bundle`)
        const src = emitted ? `/${emitted.fileName}` : '/src/theme.js'
        return [{ tag: 'script', attrs: { src }, injectTo: 'head-prepend' }]
      },
    },
  }
}

/** KaTeX lists woff2, woff and ttf; every browser we serve reads the first, so the rest is left out. */
export function woff2Only(): Plugin {
  return {
    name: 'woff2-only',
    enforce: 'pre',
    transform(code, id) {
      if (!/katex.*\.css/.test(id)) return null
      return { code: code.replace(/,\s*url\([^)]*\.(?:woff|ttf)\)\s*format\(["'](?:woff|truetype)["']\)/g, ''), map: null }
    },
  }
}

/** Writes `.br` and `.gz` beside each text file: the server sends the twin a browser understands and compresses nothing. */
export function compressed(): Plugin {
  return {
    name: 'compressed',
    writeBundle({ dir = 'dist' }, bundle) {
      for (const file of Object.values(bundle)) {
        if (!/\.(?:js|css|html|svg)$/.test(file.fileName)) continue
        const bytes = Buffer.from(file.type === 'chunk' ? file.code : file.source)
        if (bytes.length < 1024) continue
        writeFileSync(join(dir, `${file.fileName}.gz`), gzipSync(bytes, { level: 9 }))
        writeFileSync(join(dir, `${file.fileName}.br`), brotliCompressSync(bytes))
      }
    },
  }
}

/** Fails the build when what the chat route loads at first outgrows its budget (gzip bytes). */
export function budget(limits: { js: number; css: number }): Plugin {
  return {
    name: 'budget',
    generateBundle(_options, bundle) {
      const wanted = new Set<string>()
      const visit = (name: string) => {
        const chunk = bundle[name]
        if (!chunk || chunk.type !== 'chunk' || wanted.has(name)) return
        wanted.add(name)
        for (const imported of chunk.imports) visit(imported)
        if (chunk.isEntry) for (const lazy of chunk.dynamicImports) if (/\/(Chat|en)-/.test(lazy)) visit(lazy)
      }
      for (const chunk of Object.values(bundle)) if (chunk.type === 'chunk' && chunk.isEntry) visit(chunk.fileName)
      let js = 0
      let css = 0
      for (const name of wanted) {
        const chunk = bundle[name]
        if (chunk?.type !== 'chunk') continue
        js += gzipSync(chunk.code, { level: 9 }).length
        for (const sheet of chunk.viteMetadata?.importedCss ?? []) {
          const asset = bundle[sheet]
          if (asset?.type === 'asset') css += gzipSync(asset.source, { level: 9 }).length
        }
      }
      this.info(`first load: ${(js / 1024).toFixed(1)} KB of script, ${(css / 1024).toFixed(1)} KB of style (gzip)`)
      if (js > limits.js || css > limits.css) this.error(`over budget: ${js} > ${limits.js} or ${css} > ${limits.css}`)
    },
  }
}
