// For whoever asks from inside the container whether the process that works there still turns.
import { get } from 'node:http';

get('http://127.0.0.1:9464/health', ({ statusCode }) => process.exit(statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1));
