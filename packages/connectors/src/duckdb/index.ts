export type { ConversionContext } from './conversion.ts';
export { type ColumnStatistics, csvToFiles, extension, type FileFormat, type WrittenFile } from './csv-to-files.ts';
export { type FilesToCsv, filesToCsv, type InputFile, type ReadContext } from './files-to-csv.ts';
export { type CsvDialect, canonicalDialect } from './read-sql.ts';
export { absorbable } from './relational-sql.ts';
