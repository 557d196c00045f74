import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'

// `npm run dev` works against a running gate: PORTGATE_URL, or its default address.
const gate = (globalThis as { process?: { env: Record<string, string | undefined> } }).process?.env.PORTGATE_URL ?? 'http://127.0.0.1:8080'

export default defineConfig({
  plugins: [
    vue(),
    {
      // The gate serves the driver's display at /display/LANE.
      name: 'display-address',
      configureServer: (server) => {
        server.middlewares.use((asked, _response, next) => {
          const request = asked as { url?: string }
          if (request.url?.startsWith('/display/')) request.url = '/display.html'
          next()
        })
      },
    },
  ],
  // The registry's forms come from the gate's own schemas.
  server: { host: '127.0.0.1', proxy: { '/v1': gate }, fs: { allow: ['.', '../../ingest/schemas'] } },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 900,
    reportCompressedSize: false,
    rolldownOptions: { input: ['index.html', 'display.html'] },
  },
})
